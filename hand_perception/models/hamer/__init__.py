"""HaMeR: hands from crops with a Vision Transformer (Pavlakos et al., CVPR 2024).

The weights are the user's own; docs/hamer.md says where they come from and under which licence.
"""
