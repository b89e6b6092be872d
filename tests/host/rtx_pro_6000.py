"""What nvidia-smi answers on a box with two of the cards."""

TWO_GPUS = """\
0, GPU-5d6a0f6e-8a0c-4d0e-9a53-0c1c5a1f7b11, NVIDIA RTX PRO 6000 Blackwell Workstation Edition, 97887, 12.0, 00000000:01:00.0, 580.95.05
1, GPU-0a4c7f9e-2b61-47a6-b0d5-6f3f6f0f2c22, NVIDIA RTX PRO 6000 Blackwell Workstation Edition, 97887, 12.0, 00000000:81:00.0, 580.95.05
"""
