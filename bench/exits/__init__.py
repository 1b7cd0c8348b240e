"""What an exit sees of an image and when it answers: views, criteria and what they pool, policies, path costs."""
