"""HTT: hands and actions from whole images over time (Wen et al., CVPR 2023).

The weights are the user's own; docs/htt.md says where they come from and under which licence.
"""
