"""No test reads the settings of whoever runs it, neither the environment's nor those of a `.env` file."""

import os

os.environ["RIVO_ENV_FILE"] = os.devnull
for _name in [name for name in os.environ if name.startswith("RIVO_") and name != "RIVO_ENV_FILE"]:
    del os.environ[_name]
