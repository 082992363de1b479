"""The price kinds, one small file each, every one written once over arrays of exact integers."""
