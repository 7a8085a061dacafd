"""Does the model still work?"""
