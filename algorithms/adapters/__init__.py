"""Algorithms of other libraries, each in a folder with what it takes to adapt them."""
