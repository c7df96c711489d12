"""The distribution `revision-scores`: an application that Beam stages into its own workers, under the names
its folders have."""

from setuptools import setup

setup(
    name="revision-scores",
    version="0.1.0",
    description="One Lift Wing score stream and one dataset per model, out of MediaWiki's revision events",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=[  # by name: tests and runners are not part of it
        "pipeline",
        "pipeline.batch",
        "pipeline.checks",
        "pipeline.commands",
        "pipeline.config",
        "pipeline.console",
        "pipeline.flink",
        "pipeline.health",
        "pipeline.process",
        "pipeline.watch",
        "schemas",
        "transforms",
        "transforms.async_io",
        "transforms.connectors",
        "transforms.datasets",
        "transforms.delivery",
        "transforms.events",
        "transforms.http",
        "transforms.lift_wing",
        "transforms.metrics",
        "transforms.models",
        "transforms.worker",
    ],
    package_data={
        "pipeline": ["*.yaml"],
        "pipeline.batch": ["report.html"],
        "pipeline.watch": ["page/*"],
        "transforms.models": ["*.tsv"],
        "schemas": ["jsonschema/**/*.yaml"],
    },
    entry_points={"console_scripts": ["revision-scores=pipeline.__main__:main"]},
    install_requires=[
        "apache-beam==2.70.0",  # the newest for which a Flink job server can be built from Maven's repository
        "certifi",
        "confluent-kafka>=2.5",
        "cryptography>=42",  # when certificates expire
        "crcmod",  # Beam warns at every start without it
        "cramjam>=2.8",  # snappy
        "ecs-logging>=2.1",
        "fastavro[lz4,snappy,zstandard]>=1.9",
        "fastjsonschema>=2.20",
        "fsspec>=2024.6",
        "hdfs-native>=0.14",
        "javaproperties>=0.8",
        "jinja2>=3.1",
        # tells that an event is valid in a fifth of the time of fastjsonschema, which says what is wrong
        "jsonschema-rs>=0.61",
        "lz4>=4",
        "orjson>=3.10",
        "pyarrow>=16",
        "pycurl>=7.45.3",  # the first with wheels
        "pyyaml>=6",
        "regress>=2024.11.1",  # ECMAScript regular expressions, for ChangeProp's rules
        "requests>=2.31",
        "urllib3>=2.2",  # reads what is there of a body, and does not wait for more
        "s3fs>=2024.6",
        "universal-pathlib>=0.3",  # paths of HDFS and S3
        "uvloop>=0.19",
        "zstandard>=0.22",
    ],
    extras_require={
        "iceberg": ["pyiceberg>=0.10"],
        "dev": [
            "aiohttp>=3.10",  # the simulated Lift Wing, and the scripts the benchmarks compare with
            "duckdb>=1.0",
            "flask>=3",
            "flask-cors>=5",
            "moto[s3]>=5",  # a server of S3; with the two above
            "greenlet>=3",  # the threads of the simulation
            "jsonschema>=4",  # a benchmark compares with it
            "mypy>=1.11",
            "pyiceberg[pyiceberg-core,sql-sqlite]>=0.10",
            "playwright>=1.48",  # drives Debian's Chromium, for the live page
            "promql-parser>=0.12",  # what the dashboard and the alerts ask
            "psutil>=5.9",  # what the benchmarks measure with
            "pytest>=8",
            "pytest-xdist>=3.5",  # half of the tests wait for a broker or for Flink
            "rich>=13",  # the demo
            "ruff>=0.6",
            "types-PyYAML",
            "types-psutil",
            "types-requests",
        ],
    },
)
