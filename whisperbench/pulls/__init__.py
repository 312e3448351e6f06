"""Pull requests: what the workflows call to choose, judge and tell what is measured."""
