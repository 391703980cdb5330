"""What the tests of the real thing stand on: environments, servers, processes."""
