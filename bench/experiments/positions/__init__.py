"""Where in a trunk an exit pays: a head after every block or layer, against smaller inputs."""
