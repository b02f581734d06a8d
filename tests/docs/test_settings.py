"""What is generated from the code is current: run `make docs` when one of these fails."""

from pathlib import Path

from docs.generate.settings import ENV_EXAMPLE, README, env_example, readme_with_tables

REPOSITORY = Path(__file__).parent.parent.parent


def test_the_readmes_settings_are_those_of_the_code() -> None:
    text = README.read_text()
    assert text == readme_with_tables(text)


def test_the_example_env_file_is_that_of_the_code() -> None:
    assert ENV_EXAMPLE.read_text() == env_example()


def test_the_lock_files_hold_no_address_of_an_index() -> None:
    for path in REPOSITORY.glob("*.lock"):
        assert "://" not in path.read_text(), path.name
        assert "--hash=sha256:" in path.read_text()
