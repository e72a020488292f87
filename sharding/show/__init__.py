"""`avsync show DATASET`: what is inside a packed dataset. Only reads; opens a tar for the contact sheet alone.

survey -> av_clock -> screen (terminal), page (HTML with charts), contact_sheet (PNG)
"""
