"""The parts of build.py: what the machine has, targets, the stage tree, the test suite, installation."""
