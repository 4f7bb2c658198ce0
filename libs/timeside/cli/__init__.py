"""The command line `timeside`: each command is a module that is imported when it is called."""
