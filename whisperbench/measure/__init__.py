"""Measuring: a package a pass, and here what several passes share."""
