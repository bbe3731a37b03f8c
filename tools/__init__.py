"""Development tools: environments, build, local cloud."""
