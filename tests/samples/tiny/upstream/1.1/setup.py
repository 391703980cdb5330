import runpy

from setuptools import find_packages, setup

setup(
    name="tiny-app",
    version=runpy.run_path("tiny_app/__init__.py")["version"],
    description="A made-up release",
    python_requires=">=3.8",
    packages=find_packages(),
    package_data={"tiny_app": ["static/*", "templates/*", "*.txt"]},
    install_requires=["tiny-dep>=1"],
    license_files=["LICENSE", "licenses/*"],
)
