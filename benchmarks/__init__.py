"""What is measured: each module runs alone, compares side by side, and prints ratios."""
