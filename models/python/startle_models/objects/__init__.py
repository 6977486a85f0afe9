"""An object JEPA: an encoder that sees things, a predictor of where they will be, and an energy that is a likelihood.

A *token* describes one thing in one picture, a *file* is the memory of one thing over pictures. Shares are parts of the
picture's width or height.
"""
