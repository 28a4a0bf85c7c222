"""An outage of Vipps in virtual time: what the shipped client does in it, next to clients that retry otherwise.

Run it with `python -m benchmarks.outage`: it writes the CSV files beside this one and the plots of the documentation.
"""
