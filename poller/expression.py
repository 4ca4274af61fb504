"""STUB."""
import json
from decimal import Decimal
import msgspec
class ExpressionError(ValueError):
    column = 1
class EvaluationError(Exception): ...
class Condition: ...
class Template: ...
read = msgspec.json.Decoder(float_hook=Decimal).decode
write = msgspec.json.Encoder(decimal_format="number").encode
