"""Look at layers with QGIS, without a window. Run by the Python that has `qgis`, not by ours.

Reads a list of questions from standard input, writes a list of answers to standard output (JSON):
- `{"kind": "facts"}` → version of QGIS and GDAL, drivers;
- `{"kind": "features", "uri", "provider"}` → valid, error, count, crs, rows (properties), categories;
- `{"kind": "picture", "uri", "provider", "bounds", "points", "file"}` → colour of the pixel at each
  point (EPSG:4326) as QGIS draws the layer by the style it came with. Provider `vectortile`: tiles.
"""

from __future__ import annotations

import json
import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFillSymbol,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsPointXY,
    QgsProject,
    QgsProperty,
    QgsRectangle,
    QgsSingleSymbolRenderer,
    QgsSymbolLayer,
    QgsVectorLayer,
    QgsVectorTileLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

WIDTH = 1600


def facts(_question):
    drivers = [gdal.GetDriver(k).ShortName for k in range(gdal.GetDriverCount())]
    return {"qgis": Qgis.QGIS_VERSION, "gdal": gdal.__version__, "drivers": sorted(drivers)}


def opened(question):
    if question["provider"] == "vectortile":
        layer = QgsVectorTileLayer(question["uri"], "tiles")
        if layer.isValid():
            message, ok = layer.loadDefaultStyle()
            if not ok:
                raise RuntimeError(f"the style cannot be read: {message}")
            layer.setLabeling(None)  # words would stand on the points that are looked at
        return layer
    return QgsVectorLayer(question["uri"], "layer", question["provider"])


def plain(value):
    if value is None or (hasattr(value, "isNull") and value.isNull()):
        return None
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def features(question):
    layer = opened(question)
    if not layer.isValid():
        return {"valid": False, "error": layer.error().message()}
    names = layer.fields().names()
    rows = [
        {name: plain(value) for name, value in zip(names, one.attributes())}  # noqa: B905
        for one in layer.getFeatures()
    ]
    renderer = layer.renderer()
    categories = {}
    if renderer is not None and renderer.type() == "categorizedSymbol":
        categories = {
            one.value(): [one.label(), one.symbol().color().name()] for one in renderer.categories()
        }
    return {
        "valid": True,
        "count": layer.featureCount(),
        "crs": layer.crs().authid(),
        "rows": rows,
        "categories": categories,
    }


def picture(question):
    layer = opened(question)
    if not layer.isValid():
        return {"valid": False, "error": layer.error().message()}
    if "fill" in question:  # the colour stands in a column
        symbol = QgsFillSymbol.createSimple({"color": "#ff00ff", "outline_style": "no"})
        symbol.symbolLayer(0).setDataDefinedProperty(
            QgsSymbolLayer.PropertyFillColor, QgsProperty.fromField(question["fill"])
        )
        layer.setRenderer(QgsSingleSymbolRenderer(symbol))
    crs = QgsCoordinateReferenceSystem("EPSG:3857")
    there = QgsCoordinateTransform(
        QgsCoordinateReferenceSystem("EPSG:4326"), crs, QgsProject.instance()
    )
    bounds = there.transformBoundingBox(QgsRectangle(*question["bounds"]))
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(crs)
    height = max(1, round(WIDTH * bounds.height() / bounds.width()))
    settings.setOutputSize(QSize(WIDTH, height))
    settings.setExtent(bounds)
    settings.setBackgroundColor(QColor("#ff00ff"))  # of no class
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    image.save(question["file"])
    pixels = []
    toward = settings.mapToPixel()
    for lon, lat in question["points"]:
        at = toward.transform(there.transform(QgsPointXY(lon, lat)))
        pixels.append(image.pixelColor(round(at.x()), round(at.y())).name())
    return {
        "valid": True,
        "pixels": pixels,
        "errors": [one.message for one in job.errors()],
    }


def main():
    QgsApplication.setPrefixPath(os.environ.get("QGIS_PREFIX_PATH", "/usr"), True)
    application = QgsApplication([], False)
    application.initQgis()
    answers = []
    for question in json.load(sys.stdin):
        try:
            made = {"facts": facts, "features": features, "picture": picture}[question["kind"]]
            answers.append(made(question))
        except Exception as error:
            answers.append({"valid": False, "error": f"{type(error).__name__}: {error}"})
    json.dump(answers, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # leaving QGIS without a window in order takes long, and sometimes fails


main()
