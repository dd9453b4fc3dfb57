"""This process and the machine under it: clocks, forks, garbage, certificates, the time to leave in."""
