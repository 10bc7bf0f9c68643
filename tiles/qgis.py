"""Styles of the coloured map for QGIS: QML (its own) and SLD 1.1 (of others), from the one palette.

Imports `tiles.palette`. Classes are told by the text column `colour` (none, green … red); no data is
a hatched class of its own, never an absent one.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tiles.palette import CLASSES, WHITE, Class

ATTRIBUTE = "colour"
OUTLINE = "#5B6673"
"""Borders of units without colours."""


def _rgba(colour: str) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"{red},{green},{blue},255"


def label(one: Class) -> str:
    """Words of a class in a legend, both languages."""
    if one.zh == one.meaning_zh:
        return f"{one.zh} {one.en}"
    return f"{one.zh} {one.meaning_zh} · {one.en}: {one.meaning_en}"


def _options(parent: ET.Element, values: dict[str, str]) -> None:
    block = ET.SubElement(parent, "Option", type="Map")
    for name, value in values.items():
        ET.SubElement(block, "Option", name=name, type="QString", value=value)
        ET.SubElement(parent, "prop", k=name, v=value)  # QGIS before 3.20 reads these


def _layer(symbol: ET.Element, kind: str) -> ET.Element:
    return ET.SubElement(
        symbol, "layer", {"class": kind, "enabled": "1", "locked": "0", "pass": "0"}
    )


def _symbol(parent: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(
        parent,
        "symbol",
        {"type": "fill", "name": name, "alpha": "1", "clip_to_extent": "1", "force_rhr": "0"},
    )


def _fill(symbol: ET.Element, colour: str | None, line: str, width: str) -> None:
    _options(
        _layer(symbol, "SimpleFill"),
        {
            "color": _rgba(colour or WHITE),
            "style": "solid" if colour else "no",
            "outline_color": _rgba(line),
            "outline_style": "solid",
            "outline_width": width,
            "outline_width_unit": "MM",
            "joinstyle": "bevel",
        },
    )


def _hatch(symbol: ET.Element, colour: str) -> None:
    layer = _layer(symbol, "LinePatternFill")
    _options(
        layer,
        {
            "angle": "45",
            "color": _rgba(colour),
            "distance": "1.6",
            "distance_unit": "MM",
            "line_width": "0.26",
            "line_width_unit": "MM",
        },
    )
    inner = ET.SubElement(
        layer,
        "symbol",
        {"type": "line", "name": f"@{symbol.get('name')}@1", "alpha": "1", "clip_to_extent": "1"},
    )
    _options(
        _layer(inner, "SimpleLine"),
        {
            "line_color": _rgba(colour),
            "line_style": "solid",
            "line_width": "0.26",
            "line_width_unit": "MM",
        },
    )


def _text(root: ET.Element) -> str:
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return head + ET.tostring(root, encoding="unicode")


def _root() -> ET.Element:
    return ET.Element("qgis", version="3.22", styleCategories="Symbology")


def coloured_qml(palette: str = "light") -> str:
    """QML of a layer with the column `colour`; `palette` one of `palette.SETS`."""
    root = _root()
    renderer = ET.SubElement(
        root,
        "renderer-v2",
        {"type": "categorizedSymbol", "attr": ATTRIBUTE, "forceraster": "0", "symbollevels": "0",
         "enableorderby": "0"},
    )  # fmt: skip
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for one in CLASSES:
        fill = one.fill(palette)
        name = str(one.value)
        ET.SubElement(
            categories,
            "category",
            {"value": one.id, "label": label(one), "symbol": name, "render": "true",
             "type": "string"},
        )  # fmt: skip
        symbol = _symbol(symbols, name)
        _fill(symbol, fill.fill, fill.hatch or WHITE, "0.16")
        if fill.hatch:
            _hatch(symbol, fill.hatch)
    return _text(root)


def outline_qml() -> str:
    """QML of boundaries alone: a line round every unit, nothing inside."""
    root = _root()
    renderer = ET.SubElement(
        root, "renderer-v2", {"type": "singleSymbol", "forceraster": "0", "symbollevels": "0"}
    )
    _fill(_symbol(ET.SubElement(renderer, "symbols"), "0"), None, OUTLINE, "0.26")
    return _text(root)


_SPACES = {
    "xmlns": "http://www.opengis.net/sld",
    "xmlns:se": "http://www.opengis.net/se",
    "xmlns:ogc": "http://www.opengis.net/ogc",
    "version": "1.1.0",
}


def _sld_head(layer: str) -> tuple[ET.Element, ET.Element]:
    root = ET.Element("StyledLayerDescriptor", _SPACES)
    named = ET.SubElement(root, "NamedLayer")
    ET.SubElement(named, "se:Name").text = layer
    user = ET.SubElement(named, "UserStyle")
    ET.SubElement(user, "se:Name").text = layer
    return root, ET.SubElement(user, "se:FeatureTypeStyle")


def _parameter(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, "se:SvgParameter", name=name).text = text


def _polygon(rule: ET.Element, fill: str | None, line: str, dashed: bool) -> None:
    symbol = ET.SubElement(rule, "se:PolygonSymbolizer")
    if fill:
        _parameter(ET.SubElement(symbol, "se:Fill"), "fill", fill)
    stroke = ET.SubElement(symbol, "se:Stroke")
    _parameter(stroke, "stroke", line)
    _parameter(stroke, "stroke-width", "0.6")
    if dashed:
        _parameter(stroke, "stroke-dasharray", "4 4")


def coloured_sld(layer: str, palette: str = "light") -> str:
    """SLD of a layer with the column `colour`; no data has a dashed border."""
    root, style = _sld_head(layer)
    for one in CLASSES:
        fill = one.fill(palette)
        rule = ET.SubElement(style, "se:Rule")
        ET.SubElement(rule, "se:Name").text = one.id
        about = ET.SubElement(rule, "se:Description")
        ET.SubElement(about, "se:Title").text = label(one)
        equal = ET.SubElement(ET.SubElement(rule, "ogc:Filter"), "ogc:PropertyIsEqualTo")
        ET.SubElement(equal, "ogc:PropertyName").text = ATTRIBUTE
        ET.SubElement(equal, "ogc:Literal").text = one.id
        _polygon(rule, fill.fill, fill.hatch or WHITE, bool(fill.hatch))
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def outline_sld(layer: str) -> str:
    """SLD of boundaries alone."""
    root, style = _sld_head(layer)
    rule = ET.SubElement(style, "se:Rule")
    ET.SubElement(rule, "se:Name").text = layer
    _polygon(rule, None, OUTLINE, False)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
