"""What check_abi.py compares: the headers, their Rust mirror, and the symbols of the finished libraries."""
