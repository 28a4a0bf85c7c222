"""The words that requests of the ePayment API are made of; one that Vipps does not know is refused before sending."""

from __future__ import annotations

import enum
from typing import TypeVar

from vipps_async.core.open_enum import OpenEnum
from vipps_async.errors import InvalidInputError

E = TypeVar("E", bound=enum.StrEnum)


class UserFlow(enum.StrEnum):
    """How the customer gets to the payment in the app."""

    WEB_REDIRECT = "WEB_REDIRECT"
    """By a link that opens the app on a phone and a landing page elsewhere; for shops on the web and in apps."""
    NATIVE_REDIRECT = "NATIVE_REDIRECT"
    """By a link that opens the app and nothing else; Vipps discourages it."""
    PUSH_MESSAGE = "PUSH_MESSAGE"
    """By a message to the customer's phone, for devices that are not the customer's own; Vipps must have approved the
    sales unit for it. There is no link."""
    QR = "QR"
    """By a QR code that is good for this payment."""


class PaymentMethodType(OpenEnum):
    """What the customer pays with."""

    WALLET = "WALLET"
    """A card or an account in the app."""
    CARD = "CARD"
    """A card whose number is entered on a web page; not in the test environment."""


class CustomerInteraction(enum.StrEnum):
    """Whether the customer stands before the merchant."""

    CUSTOMER_PRESENT = "CUSTOMER_PRESENT"
    """In a shop, at a till: must be told there."""
    CUSTOMER_NOT_PRESENT = "CUSTOMER_NOT_PRESENT"
    """Anywhere else: what Vipps assumes."""


class BlockedSource(enum.StrEnum):
    """What a wallet payment must not be paid from."""

    COMMERCIAL_CARDS = "COMMERCIAL_CARDS"
    """Cards of firms."""


class QrImage(enum.StrEnum):
    """What the link of a QR payment leads to."""

    SVG = "IMAGE/SVG+XML"
    """A drawing: what Vipps makes unless told otherwise."""
    PNG = "IMAGE/PNG"
    """A picture of a given size."""
    TARGET_URL = "TEXT/TARGETURL"
    """No image: the link is what the QR code is to hold."""


class QuantityUnit(enum.StrEnum):
    """What a quantity is counted in."""

    PCS = "PCS"
    """Pieces: what Vipps assumes."""
    KG = "KG"
    """Kilograms."""
    KM = "KM"
    """Kilometres."""
    MINUTE = "MINUTE"
    """Minutes."""
    LITRE = "LITRE"
    """Litres."""
    KWH = "KWH"
    """Kilowatt-hours."""


class BarcodeFormat(enum.StrEnum):
    """How a receipt's barcode is drawn."""

    EAN_13 = "EAN-13"
    """13 digits."""
    CODE_39 = "CODE 39"
    """Capital letters and digits."""
    CODE_128 = "CODE 128"
    """ASCII."""


class ShippingType(enum.StrEnum):
    """How goods come to the customer."""

    HOME_DELIVERY = "HOME_DELIVERY"
    """To the door."""
    PICKUP_POINT = "PICKUP_POINT"
    """To a place where the customer fetches them."""
    MAILBOX = "MAILBOX"
    """Into the mailbox."""
    IN_STORE = "IN_STORE"
    """Fetched in the merchant's shop."""
    OTHER = "OTHER"
    """In another way."""


class ShippingBrand(enum.StrEnum):
    """Who brings the goods; the app shows the brand's sign."""

    POSTEN = "POSTEN"
    """Posten."""
    BRING = "BRING"
    """Bring."""
    POSTNORD = "POSTNORD"
    """PostNord."""
    HELTHJEM = "HELTHJEM"
    """Helthjem."""
    PORTERBUDDY = "PORTERBUDDY"
    """Porterbuddy."""
    DHL = "DHL"
    """DHL."""
    INSTABOX = "INSTABOX"
    """Instabox."""
    FEDEX = "FEDEX"
    """FedEx."""
    MATKAHUOLTO = "MATKAHUOLTO"
    """Matkahuolto."""
    GLS = "GLS"
    """GLS."""
    POSTI = "POSTI"
    """Posti."""
    GORDON = "GORDON"
    """Gordon."""
    OTHER = "OTHER"
    """Any other, or the merchant."""


def check_word(parameter: str, value: object, words: type[E]) -> E:
    """Return the word that a text is.

    Raises:
        InvalidInputError: it is none of them.
    """
    for word in words:
        if word == value:
            return word
    raise InvalidInputError(parameter, f"one of {', '.join(words)}", value=value)
