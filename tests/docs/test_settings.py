"""What is generated from the code is current: run `make docs` when one of these fails."""

from pathlib import Path

from docs.generate.settings import ENV_EXAMPLE, PAGE, env_example, page_with_table, variables

REPOSITORY = Path(__file__).parent.parent.parent


def test_the_page_of_settings_is_that_of_the_code() -> None:
    text = PAGE.read_text()
    assert text == page_with_table(text)


def test_a_variable_that_the_services_mean_differently_says_what_each_means() -> None:
    by_name = {each.name: each for each in variables()}
    assert by_name["MAX_BODY_BYTES"].meaning().startswith("ingress: ")
    assert "; dispatcher: " in by_name["MAX_BODY_BYTES"].meaning()
    assert by_name["LOG_FORMAT"].meaning() == by_name["LOG_FORMAT"].meanings["ingress"]


def test_the_example_env_file_sets_each_variable_once() -> None:
    names = [line.removeprefix("# ").partition("=")[0] for line in ENV_EXAMPLE.read_text().splitlines() if "=" in line]
    assert [name for name in names if name.isupper()] == list(dict.fromkeys(name for name in names if name.isupper()))
    assert {each.name for each in variables()} <= set(names)


def test_the_example_env_file_is_that_of_the_code() -> None:
    assert ENV_EXAMPLE.read_text() == env_example()


def test_the_lock_files_hold_no_address_of_an_index() -> None:
    for path in REPOSITORY.glob("*.lock"):
        assert "://" not in path.read_text(), path.name
        assert "--hash=sha256:" in path.read_text()
