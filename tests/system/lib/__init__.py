"""What the system tests and the benchmarks share: namespaces, topologies, processes, captures,
certificates, and runners for warrend, strongSwan and tshark.

Everything that exists outside this process (a namespace, a process, a directory) belongs to a Lab
(see lab.py), which takes it away again, whatever happened in between.
"""
