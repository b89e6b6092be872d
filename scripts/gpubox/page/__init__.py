"""The results as one HTML file that needs nothing else: tables from Python, charts drawn in the browser.

`vendor/` holds D3 7.9.0 and Observable Plot 0.6.17 (ISC, licences beside them) as their makers publish them.
"""
