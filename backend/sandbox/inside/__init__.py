"""What runs inside the walls: standard library only, nothing of ours from outside this folder.

``keeper`` is the first process and is trusted; ``program`` becomes the program and is not.
"""
