"""Pictures of what was measured: typed data in, a specification of Vega-Lite out, and its SVG."""
