"""What 8-bit quantization really costs Whisper: the library under the benchmark suite.

Importing this package loads neither torch nor transformers nor bitsandbytes.
"""

__version__ = "0.1.0"
