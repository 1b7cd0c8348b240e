"""SSDLite with MobileNetV3-Large, as a chain of stages."""
