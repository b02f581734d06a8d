"""A certificate authority of the tests' own, and certificates that are right, expired, for another host, or a stranger's."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KINDS = ("right", "expired", "other_host", "stranger")


@dataclass(frozen=True)
class Certificate:
    """The files of a server's certificate, in PEM format."""

    certificate: Path
    key: Path


class Authority:
    """A CA that signs certificates for 127.0.0.1; its own certificate is the file *path*."""

    def __init__(self, folder: Path, name: str = "faxhook tests") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        # Both identifiers, as real authorities write them: Python 3.13 refuses a certificate without.
        self._key_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.path = folder / f"{name.replace(' ', '-')}.pem"
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        built = self._builder(self._name, self._key, days=30).add_extension(constraints, critical=True)
        signed = built.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, host: str = "127.0.0.1", days: int = 30) -> Certificate:
        """Return a certificate for *host* that ends *days* from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(host))] if host[0].isdigit() else [x509.DNSName(host)]
        )
        signed = self._builder(subject, key, days).add_extension(alternative, critical=False)
        files = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        files.certificate.write_bytes(signed.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        for path in (files.certificate, files.key):
            path.chmod(0o644)  # a server under another user reads them
        return files

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._key_id)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer, critical=False)
        )


def certificates(folder: Path) -> tuple[Authority, dict[str, Certificate]]:
    """Return a CA, and a certificate of each of `KINDS`; all but the stranger's are the CA's."""
    authority = Authority(folder)
    return authority, {
        "right": authority.issue("right"),
        "expired": authority.issue("expired", days=-1),
        "other_host": authority.issue("other_host", host="other.example.com"),
        "stranger": Authority(folder, "stranger").issue("stranger-server"),
    }
