"""Grammar of CQL2 text for lark: data of `app.ogc.cql`, imports nothing."""

GRAMMAR = r"""
// CQL2 text (OGC 21-065r2), the conformance classes this room declares. AND binds before OR.
?start: disjunction
?disjunction: conjunction (_OR conjunction)*
?conjunction: term (_AND term)*
?term: _NOT primary -> negation
     | primary
?primary: "(" disjunction ")"
        | predicate
        | BOOLEAN
?predicate: scalar COMPARED scalar -> comparison
          | scalar _BETWEEN scalar _AND scalar -> between
          | scalar _NOT _BETWEEN scalar _AND scalar -> not_between
          | scalar _LIKE pattern -> like
          | scalar _NOT _LIKE pattern -> not_like
          | scalar _IN "(" scalar ("," scalar)* ")" -> one_of
          | scalar _NOT _IN "(" scalar ("," scalar)* ")" -> none_of
          | scalar _IS _NULL -> missing
          | scalar _IS _NOT _NULL -> given
          | SPATIAL "(" shape "," shape ")" -> spatial
?scalar: property
       | STRING -> text
       | NUMBER -> number
       | BOOLEAN
       | _CASEI "(" scalar ")" -> folded
       | _DATE "(" STRING ")" -> day
       | _TIMESTAMP "(" STRING ")" -> moment
?pattern: STRING -> text
        | _CASEI "(" pattern ")" -> folded
?shape: property
      | wkt -> geometry
      | _BBOX "(" NUMBER ("," NUMBER)+ ")" -> bbox
wkt: WKT nested
nested: "(" _part ("," _part)* ")"
_part: position | nested | wkt
position: NUMBER NUMBER NUMBER?
property: NAME
        | QUOTED

COMPARED: "<>" | "<=" | ">=" | "=" | "<" | ">"
_AND.3: /and\b/i
_OR.3: /or\b/i
_NOT.3: /not\b/i
_BETWEEN.3: /between\b/i
_LIKE.3: /like\b/i
_IN.3: /in\b/i
_IS.3: /is\b/i
_NULL.3: /null\b/i
_CASEI.3: /casei(?=\s*\()/i
_DATE.3: /date(?=\s*\()/i
_TIMESTAMP.3: /timestamp(?=\s*\()/i
_BBOX.3: /bbox(?=\s*\()/i
BOOLEAN.3: /(true|false)\b/i
SPATIAL.3: /s_(intersects|equals|disjoint|touches|within|overlaps|crosses|contains)(?=\s*\()/i
WKT.3: /(geometrycollection|multipolygon|multilinestring|multipoint|polygon|linestring|point)\s*z?(?=\s*\()/i
NAME.1: /[A-Za-z_][A-Za-z0-9_.:]*/
QUOTED: /"[^"]+"/
STRING: /'(?:''|\\'|[^'])*'/
NUMBER: /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/
%ignore /\s+/
"""
