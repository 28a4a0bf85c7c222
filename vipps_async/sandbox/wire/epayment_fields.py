"""The rules of single fields in ePayment's request bodies."""

from __future__ import annotations

import re
from datetime import datetime

from vipps_async.sandbox.ledger.settings import CURRENCIES
from vipps_async.sandbox.wire import fields
from vipps_async.sandbox.wire.epayment_shipping import GROUP_FIELDS
from vipps_async.sandbox.wire.fields import Field, check_that, is_integer

REFERENCE = re.compile(r"[a-zA-Z0-9-]{8,64}")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]{1,8})?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def moment_of(value: object) -> datetime | None:
    """Return the moment that a text names by RFC 3339, with its zone; None for what names none."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None


_AMOUNT = {
    "currency": Field(fields.one_of(*sorted(CURRENCIES)), required=True),
    "value": Field(
        check_that(lambda value: isinstance(value, int | float) and not isinstance(value, bool), "must be an integer"),
        required=True,
    ),
}
_AMOUNT_FIELD = Field(required=True, fields=_AMOUNT)
_string, _boolean = Field(fields.string), Field(fields.boolean)
_money = Field(check_that(is_integer, "must be an integer"))
_some_money = Field(check_that(lambda value: is_integer(value) and value >= 0, "must be an integer, not negative"))


def _whole(least: int, most: int) -> Field:
    return Field(
        check_that(
            lambda value: is_integer(value) and least <= value <= most, f"must be an integer from {least} to {most}"
        )
    )


def _needed(field: Field) -> Field:
    return Field(field.check, required=True, fields=field.fields, many=field.many)


_RECEIPT = {
    "orderLines": Field(
        required=True,
        many=True,
        fields={
            **dict.fromkeys(("name", "id"), _needed(_string)),
            **dict.fromkeys(("totalAmount", "totalAmountExcludingTax", "totalTaxAmount"), _needed(_money)),
            "taxPercentage": _whole(0, 100),
            "taxRate": _whole(0, 10_000),
            "unitInfo": Field(
                fields={
                    "unitPrice": _some_money,
                    "quantity": Field(
                        check_that(
                            lambda value: (
                                isinstance(value, str) and len(value) <= 10 and bool(_QUANTITY.fullmatch(value))
                            ),
                            "must be text: a number of at most 10 characters",
                        ),
                        required=True,
                    ),
                    "quantityUnit": Field(fields.one_of("PCS", "KG", "KM", "MINUTE", "LITRE", "KWH")),
                }
            ),
            "discount": _some_money,
            "productUrl": _string,
            "isReturn": _boolean,
            "isShipping": _boolean,
        },
    ),
    "bottomLine": Field(
        required=True,
        fields={
            "currency": _AMOUNT["currency"],
            **dict.fromkeys(
                ("tipAmount", "giftCardAmount", "totalTax", "totalDiscount", "shippingAmount"), _some_money
            ),
            "totalAmount": _money,
            **dict.fromkeys(("posId", "receiptNumber", "terminalId"), _string),
            "shippingInfo": Field(
                fields={
                    **dict.fromkeys(("amount", "amountExcludingTax", "taxAmount"), _some_money),
                    "taxPercentage": _whole(0, 100),
                }
            ),
            "paymentSources": Field(fields=dict.fromkeys(("giftCard", "card", "voucher", "cash"), _money)),
            "barcode": Field(
                fields={
                    "format": Field(fields.one_of("EAN-13", "CODE 39", "CODE 128"), required=True),
                    "data": _needed(_string),
                }
            ),
        },
    ),
}
CUSTOMER = {
    "phoneNumber": Field(fields.text_or_number),
    "personalQr": _string,
    "customerToken": _string,
}
CREATION = {
    "amount": _AMOUNT_FIELD,
    "customer": Field(fields=CUSTOMER),
    "minimumUserAge": _whole(0, 100),
    "customerInteraction": Field(fields.one_of("CUSTOMER_PRESENT", "CUSTOMER_NOT_PRESENT")),
    "industryData": Field(
        fields={
            "airlineData": Field(
                fields={
                    "agencyInvoiceNumber": Field(fields.text_of(1, 6), required=True),
                    "airlineCode": Field(fields.text_of(3, 3), required=True),
                    "airlineDesignatorCode": Field(fields.text_of(2, 2), required=True),
                    "passengerName": Field(fields.text_of(1, 49), required=True),
                    "ticketNumber": Field(fields.text_of(1, 150)),
                }
            )
        }
    ),
    "paymentMethod": Field(
        required=True,
        fields={
            "type": Field(fields.one_of("WALLET", "CARD", "CARD_PASSTHROUGH"), required=True),
            "blockedSources": Field(
                check_that(
                    lambda value: isinstance(value, list) and all(item == "COMMERCIAL_CARDS" for item in value),
                    "must be a list of COMMERCIAL_CARDS",
                )
            ),
        },
    ),
    "profile": Field(fields={"scope": _string}),
    "reference": Field(
        check_that(
            lambda value: isinstance(value, str) and bool(REFERENCE.fullmatch(value)),
            "must be 8 to 64 letters, digits or hyphens",
        ),
        required=True,
    ),
    "returnUrl": _string,
    "userFlow": Field(fields.one_of("PUSH_MESSAGE", "NATIVE_REDIRECT", "WEB_REDIRECT", "QR"), required=True),
    "expiresAt": Field(
        check_that(lambda value: moment_of(value) is not None, "must be a moment with its zone, by RFC 3339")
    ),
    # The size is held against its limits only where it counts.
    "qrFormat": Field(
        fields={
            "format": Field(fields.one_of("TEXT/TARGETURL", "IMAGE/SVG+XML", "IMAGE/PNG"), required=True),
            "size": _money,
        }
    ),
    "paymentDescription": Field(fields.text_of(3, 100)),
    "receipt": Field(fields=_RECEIPT),
    "metadata": Field(check_that(lambda value: isinstance(value, dict), "must be an object")),
    "receiptUrl": _string,
    "shipping": Field(
        fields={
            "fixedOptions": Field(many=True, fields=GROUP_FIELDS),
            "dynamicOptions": Field(
                fields={"callbackUrl": _needed(_string), "callbackAuthorizationToken": Field(fields.auth_token)},
            ),
            "allowedCountries": Field(check_that(lambda value: isinstance(value, list), "must be a list")),
        }
    ),
    "merchantLegalLinks": Field(fields={"termsOfSaleUrl": _string, "privacyPolicyUrl": _string}),
}
MODIFICATION = {"modificationAmount": _AMOUNT_FIELD}
CANCELLATION = {"cancelTransactionOnly": _boolean}
APPROVAL = {"customer": Field(fields=CUSTOMER), "token": _string}
