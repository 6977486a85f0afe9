"""A control that learns dynamics of pictures: a small recurrent state-space model with categorical latents, as in DreamerV3
(Hafner et al., arXiv 2301.04104), trained on the clips of the bundled model. It knows of no things: what it is surprised by
is the picture.
"""
