"""Feed rows of text (of `csv.DictReader`) to a table's ONNX file, by NumPy and onnxruntime alone.

python onnx_reader.py model.onnx new.csv
"""

import csv
import json
import re
import sys
from datetime import datetime

import numpy as np
import onnxruntime


def dates(rule, cells):
    moments = [datetime.strptime(cell, rule["format"] or "%Y-%m-%d") if cell else None for cell in cells]
    filled = [m or datetime(1970, 1, 1) for m in moments]
    found = {"days": np.array([(m - datetime(1970, 1, 1)).total_seconds() / 86_400 for m in filled])}
    day = [(m - datetime(m.year, m.month, m.day)).total_seconds() / 86_400 for m in filled]
    year = [(m.timetuple().tm_yday - 1) / 365.25 for m in filled]
    for name, cycle in (("year", year), ("week", [m.weekday() / 7 for m in filled]), ("day", day)):
        found |= {f"{name} sine": np.sin(2 * np.pi * np.array(cycle))}
        found |= {f"{name} cosine": np.cos(2 * np.pi * np.array(cycle))}
    missing = np.array([m is None for m in moments])
    values = zip(rule["parts"], rule["mean"], rule["scale"], strict=True)
    columns = [np.where(missing, 0, (found[part] - mean) / scale) for part, mean, scale in values]
    return np.stack([*columns, *([missing] if rule["flag"] else [])], axis=1).astype(np.float32)


def feed(rule, cells):
    if rule["kind"] == "number":
        return np.array([float(cell) if cell else np.nan for cell in cells])
    if rule["kind"] == "category":
        return np.array(cells, object)
    if rule["kind"] == "date":
        return dates(rule, cells)
    words = [set(re.findall(r"[^\W\d_]{2,}", cell.lower())) for cell in cells]
    return np.array([[word in found for word in rule["words"]] for found in words], np.float32)


def predict(model, rows):
    session = onnxruntime.InferenceSession(model)
    rules = json.loads(session.get_modelmeta().custom_metadata_map["thalweg"])["columns"]
    feeds = {rule["column"]: feed(rule, [row[rule["column"]] for row in rows]) for rule in rules}
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, feeds), strict=True))


if __name__ == "__main__":
    with open(sys.argv[2], newline="", encoding="utf-8") as file:
        answers = predict(sys.argv[1], list(csv.DictReader(file)))
    print("\n".join(map(str, answers["prediction"])))
