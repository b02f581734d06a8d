"""Of several addresses one that answers is used; a wrong one is refused by name of its variable, without its password."""

import pytest
from certificates import Authority

from shared.amqp.addresses import check_addresses, split_addresses, vhost_of
from shared.settings import BadSetting

ONE, TWO = "amqp://u:s3cret@one:5672/fax", "amqp://u:s3cret@two:5672/fax"


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        (ONE, [ONE]),
        (f"{ONE},{TWO}", [ONE, TWO]),
        (f" {ONE} ,\n {TWO}, ", [ONE, TWO]),
        (f"{ONE}?heartbeat=5,amqps://u:p@[::1]/fax", [f"{ONE}?heartbeat=5", "amqps://u:p@[::1]/fax"]),
        ("amqp://u:a,b@one/fax", ["amqp://u:a,b@one/fax"]),
    ],
)
def test_addresses_are_separated_by_commas_before_a_scheme(text, addresses):
    assert split_addresses(text) == addresses
    assert vhost_of(text) == "fax"
    check_addresses("AMQP_URL", text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{ONE},http://u:s3cret@two/fax", "amqp:// or amqps://"),
        (f"http://u:s3cret@two/fax,{ONE}", "amqp:// or amqps://"),
        ("amqp://u:s3cret@one,two/fax", "each is a whole URL"),
        ("amqp://u:s3cret@one:5672,two:5672/fax", "AMQP_URL"),
        ("amqp:///fax", "each is a whole URL"),
        (f"{ONE},amqp://u:s3cret@two/other", "different vhosts"),
        (f"{ONE}?cafile=/etc/ca.pem", "amqps://"),
        ("amqps://u:s3cret@one/fax?cafile=/no/such.pem", "/no/such.pem"),
        ("amqps://u:s3cret@one/fax?certfile=/no/such.pem", "/no/such.pem"),
        ("amqps://u:s3cret@one/fax?keyfile=/no/such.pem", "certfile is not"),
    ],
)
def test_a_wrong_address_is_refused(text, words):
    with pytest.raises(BadSetting, match=words) as caught:
        check_addresses("AMQP_URL", text)
    assert "AMQP_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_with_a_certificate_is_taken_and_one_without_is_not(tmp_path):
    authority = Authority(tmp_path)
    issued = authority.issue("client")
    client = f"certfile={issued.certificate}&keyfile={issued.key}"
    check_addresses("AMQP_URL", f"amqps://u:p@one/fax?cafile={authority.path}&{client}")
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(BadSetting, match=r"empty\.pem"):
        check_addresses("AMQP_URL", f"amqps://u:p@one/fax?cafile={tmp_path / 'empty.pem'}")
