"""What a run is about: a network, its task, and the data on which units are valued and the network is judged."""
