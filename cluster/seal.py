"""Receipts as bytes: one JSON text per receipt, sealed with its own sha256, so that no byte of it changes unseen."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from cluster.errors import BadInput, StageFailed
from cluster.files import checked_name
from cluster.job import RECEIPT_FORMAT, Receipt

RECEIPT = "receipt.json"
SHA256 = re.compile(r"[0-9a-f]{64}")


def sealed(receipt: Receipt) -> bytes:
    """The bytes of receipt.json. Raises StageFailed when the receipt holds what JSON has not (NaN, objects)."""
    try:
        return _text(json.loads(json.dumps(receipt.to_json(), allow_nan=False)))
    except (TypeError, ValueError) as error:
        remedy = "a job returns metrics of plain, finite JSON"
        raise StageFailed(receipt.name, f"its receipt is not JSON: {error}", remedy) from None


def unsealed(raw: bytes, key: str) -> Receipt:
    """The receipt behind the bytes.

    Raises StageFailed when they were changed, are cut short or belong to another key, BadInput when a newer program
    wrote them or when they name files outside the result.
    """
    where = f"receipt of {key[:12]}"
    try:
        record: dict[str, Any] = json.loads(raw)
        if int(record["format"]) > RECEIPT_FORMAT:
            what = f"has format {record['format']}; this program reads up to {RECEIPT_FORMAT}"
            raise BadInput(where, what, "upgrade w2s")
        if _text({name: value for name, value in record.items() if name != "sha256"}) != raw or record["key"] != key:
            raise ValueError("the seal does not match")
        receipt = Receipt.from_json(record)
        _check_files(receipt.files, where)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        remedy = "verify the store; a result that is set aside is built again"
        raise StageFailed(where, f"is damaged ({type(error).__name__}: {error})", remedy) from None
    return receipt


def _text(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, indent=1)
    seal = hashlib.sha256(body.encode("ascii")).hexdigest()
    return (json.dumps({**record, "sha256": seal}, indent=1) + "\n").encode("ascii")


def _check_files(files: Mapping[str, Mapping[str, Any]], where: str) -> None:
    for name, facts in files.items():
        checked_name(name, where)
        if not SHA256.fullmatch(facts["sha256"]) or not isinstance(facts["bytes"], int):
            raise ValueError(f"no digest for {name}")
