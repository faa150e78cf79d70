"""Pictures of the dashboard: pure functions of frames that return SVG or HTML."""
