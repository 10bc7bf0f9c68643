"""The look of this room's pages: one style sheet and the templates. Data of `app.ogc.pages`.

Ink, paper and measures are those of the front end (frontend/src/style/theme.ts, base.css). No script,
no inline style sheet, nothing from elsewhere: the pages keep the strict content security policy.
"""

STYLE = """
:root{--ink:#12161c;--ink2:#3f4854;--ink3:#646e7b;--line:#e3e6ea;--line2:#c8ced6;--track:#e9ecef;
--surface:#fff;--surface2:#f6f7f8;--bg:#eef0f2;--land:#f4f5f6;color-scheme:light;
font-family:Inter,"Noto Sans SC","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif;
font-size:16px;font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
:root:lang(en){font-family:Inter,"Segoe UI","Helvetica Neue",Arial,"Liberation Sans","Noto Sans SC",
sans-serif}
@media (prefers-color-scheme:dark){:root{--ink:#f3f5f7;--ink2:#b8c0ca;--ink3:#98a2ae;--line:#1f262f;
--line2:#36404c;--track:#1c222a;--surface:#0f1318;--surface2:#151a21;--bg:#0a0d11;--land:#0e1217;
color-scheme:dark}.mark{background:#f3f5f7;border-radius:4px}}
*,*::before,*::after{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font-size:.875rem;line-height:1.5}
h1,h2,h3,p,dl,dd,ul,ol{margin:0;padding:0}
h1{font-size:1.375rem;line-height:1.9rem}
h2{font-size:1rem;line-height:1.5rem;margin:0 0 8px}
h3{font-size:.75rem;font-weight:400;color:var(--ink3)}
ul,ol{list-style:none}
a{color:inherit;text-decoration:underline;text-decoration-color:var(--line2);text-underline-offset:3px}
a:hover{text-decoration-color:currentColor}
:focus-visible{outline:2px solid var(--ink);outline-offset:2px}
.top{display:flex;align-items:center;gap:20px;min-height:52px;padding:0 16px;background:var(--surface);
border-bottom:1px solid var(--line)}
.top a{text-decoration:none}
.top .home{display:inline-flex;align-items:center;gap:8px;font-weight:700}
.top nav{display:flex;gap:4px;align-self:stretch}
.top nav a{display:grid;place-items:center;padding:0 10px;color:var(--ink2);border:2px solid transparent;
border-width:2px 0}
.top nav a[aria-current]{color:var(--ink);font-weight:700;border-bottom-color:var(--ink)}
.top .forms{margin-left:auto;display:flex;gap:12px;color:var(--ink2)}
.mark{width:24px;height:24px}
.crumbs{display:flex;flex-wrap:wrap;gap:6px;padding:10px 0 0;color:var(--ink3);font-size:.8125rem}
.crumbs li+li::before{content:"/";padding-right:6px;color:var(--line2)}
main{max-width:1200px;margin:0 auto;padding:0 20px 48px}
.head{padding:10px 0 18px}
.head p{color:var(--ink2);margin-top:6px;max-width:72ch;white-space:pre-line}
.block{background:var(--surface);border:1px solid var(--line);border-radius:8px;padding:16px 20px;
margin-bottom:16px;min-width:0}
.two{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:16px}
.map{display:block;width:100%;height:420px;background:var(--land);border-radius:6px}
.map path{fill-rule:evenodd;stroke:var(--surface);stroke-width:.8;vector-effect:non-scaling-stroke}
.map path[fill="#F1F2F4"]{stroke:#a9b0ba;stroke-dasharray:3 2}
.list{display:grid;gap:6px;margin:4px 0 14px}
.block>p+p,.block>p+ul,.block>ul+p{margin-top:10px}
.map circle{stroke:var(--surface);stroke-width:1;vector-effect:non-scaling-stroke}
.scroll{overflow:auto;max-width:100%}
table{border-collapse:collapse;width:100%}
caption{text-align:left;color:var(--ink3);font-size:.75rem;padding-bottom:6px}
th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;
white-space:nowrap}
th{font-size:.75rem;font-weight:400;color:var(--ink3)}
td.n{text-align:right}
.wrap td{white-space:normal;overflow-wrap:break-word}
.wrap td code{overflow-wrap:normal}
dl.facts{display:grid;grid-template-columns:minmax(120px,max-content) minmax(0,1fr);gap:4px 20px}
dl.facts dt{color:var(--ink3)}
dl.facts dd{overflow-wrap:anywhere;white-space:pre-line}
.swatch{width:14px;height:14px;vertical-align:-2px;margin-right:6px}
.pager{display:flex;gap:16px;align-items:center;padding-top:12px;color:var(--ink2)}
.button{display:inline-block;padding:6px 14px;border:1px solid var(--line2);border-radius:6px;
background:var(--surface);color:var(--ink);font:inherit;text-decoration:none;cursor:pointer}
.button:hover{border-color:var(--ink3)}
form{display:flex;flex-wrap:wrap;gap:12px;align-items:end}
label{display:grid;gap:2px;font-size:.75rem;color:var(--ink3)}
input,select{font:inherit;font-size:.875rem;color:var(--ink);background:var(--surface);padding:5px 8px;
border:1px solid var(--line2);border-radius:6px;min-height:34px;max-width:100%}
code{font-family:ui-monospace,"SFMono-Regular",Menlo,Consolas,monospace;font-size:.8125rem;
background:var(--surface2);padding:1px 4px;border-radius:4px;overflow-wrap:anywhere}
.note{color:var(--ink3);font-size:.8125rem}
@media (max-width:719px){.two{grid-template-columns:minmax(0,1fr)}.map{height:280px}
main{padding:0 12px 32px}.top{flex-wrap:wrap;padding:8px 12px;gap:8px 14px}
dl.facts{grid-template-columns:minmax(0,1fr)}dl.facts dd{margin-bottom:6px}body{font-size:1rem}}
"""

BASE = """<!doctype html>
<html lang="{{ 'zh-CN' if lang == 'zh' else 'en' }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }} · {{ t.product }}</title>
<link rel="icon" href="{{ root }}/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="{{ base }}/style.css">
{% if json %}<link rel="alternate" type="application/json" href="{{ json }}">{% endif %}
</head>
<body>
<header class="top">
<a class="home" href="{{ root }}/"><img class="mark" src="{{ root }}/mark.svg" alt="">{{ t.product }}</a>
<nav aria-label="{{ t.pages }}">
<a href="{{ page(base) }}"{% if here == 'landing' %} aria-current="page"{% endif %}>OGC API</a>
<a href="{{ page(base + '/collections') }}"{% if here == 'collections' %} aria-current="page"{% endif %}>{{ t.collections }}</a>
<a href="{{ page(base + '/api') }}"{% if here == 'api' %} aria-current="page"{% endif %}>{{ t.api }}</a>
</nav>
<span class="forms">
{% if json %}<a href="{{ json }}">JSON</a>{% endif %}
<a href="{{ other }}" lang="{{ 'en' if lang == 'zh' else 'zh-CN' }}">{{ 'English' if lang == 'zh' else '中文' }}</a>
</span>
</header>
<main>
<nav aria-label="{{ t.path }}"><ol class="crumbs">
{% for name, href in crumbs %}<li><a href="{{ page(href) }}">{{ name }}</a></li>{% endfor %}
</ol></nav>
<div class="head"><h1>{{ title }}</h1>{% if about %}<p>{{ about }}</p>{% endif %}</div>
{% block body %}{% endblock %}
</main>
</body>
</html>
"""

MACROS = """
{%- macro value(one) -%}
{%- if one is none -%}–
{%- elif one is boolean -%}{{ t.yes if one else t.no }}
{%- elif one is string -%}
{%- if (one.startswith('http://') or one.startswith('https://')) and '{' not in one -%}<a href="{{ one }}">{{ one }}</a>{%- else -%}{{ one }}{%- endif -%}
{%- elif one is mapping -%}<dl class="facts">{% for key, each in one.items() %}<dt>{{ key }}</dt><dd>{{ value(each) }}</dd>{% endfor %}</dl>
{%- elif one is sequence -%}
{%- if one and (one[0] is mapping or one[0] is sequence) -%}<ul>{% for each in one %}<li>{{ value(each) }}</li>{% endfor %}</ul>
{%- else -%}{{ one | join(', ') }}{%- endif -%}
{%- else -%}{{ one }}{%- endif -%}
{%- endmacro -%}
{%- macro links(found) -%}
<div class="scroll" tabindex="0" role="region" aria-label="{{ t.links }}"><table class="wrap"><caption>{{ t.links }}</caption>
<tr><th scope="col">{{ t.what }}</th><th scope="col">{{ t.relation }}</th><th scope="col">{{ t.form }}</th></tr>
{% for one in found %}<tr><td>{% if one.templated %}<code>{{ one.href }}</code>{% else %}<a href="{{ one.href }}">{{ one.title or one.href }}</a>{% endif %}</td><td>{{ one.rel }}</td><td>{{ one.type }}</td></tr>{% endfor %}
</table></div>
{%- endmacro -%}
"""

DOCUMENT = """{% extends 'base' %}{% block body %}{% import 'macros' as m with context %}
<section class="block">{{ m.value(facts) }}</section>
{% if found_links %}<section class="block">{{ m.links(found_links) }}</section>{% endif %}
{% endblock %}"""

LANDING = """{% extends 'base' %}{% block body %}
<div class="two">
<section class="block"><h2>{{ t.collections }}</h2>
{% if maps %}{% for name, found in maps %}<h3>{{ name }}</h3><ul class="list">
{% for one in found %}<li><a href="{{ page(base + '/collections/' + one.id) }}">{{ one.zh if lang == 'zh' else one.en }}</a> <span class="note">{{ one.id }}</span></li>{% endfor %}
</ul>{% endfor %}{% else %}<p class="note">{{ t.nothing }}</p>{% endif %}
</section>
<section class="block"><h2>{{ t.connect }}</h2>
<p>{{ t.connect_text }}</p><p><code>{{ base }}</code></p>
<p class="note">{{ t.token_text }}</p>
<ul class="list">
<li><a href="{{ page(base + '/collections') }}">{{ t.collections }}</a></li>
<li><a href="{{ page(base + '/conformance') }}">{{ t.conformance }}</a></li>
<li><a href="{{ page(base + '/api') }}">{{ t.api }}</a></li>
<li><a href="{{ page(base + '/tileMatrixSets') }}">{{ t.matrices }}</a></li>
</ul></section>
</div>
{% endblock %}"""

LIST = """{% extends 'base' %}{% block body %}
<section class="block"><div class="scroll" tabindex="0" role="region" aria-label="{{ t.collections }}"><table class="wrap">
<tr><th scope="col">{{ t.collection }}</th><th scope="col">{{ t.name }}</th><th scope="col">{{ t['items'] }}</th></tr>
{% for one in found %}<tr><td><a href="{{ page(base + '/collections/' + one.id) }}">{{ one.zh if lang == 'zh' else one.en }}</a><br><span class="note">{{ one.about_zh if lang == 'zh' else one.about_en }}</span></td><td><code>{{ one.id }}</code></td><td><a href="{{ page(base + '/collections/' + one.id + '/items') }}">{{ t['items'] }}</a></td></tr>{% endfor %}
</table></div></section>
{% endblock %}"""

COLLECTION = """{% extends 'base' %}{% block body %}{% import 'macros' as m with context %}
<section class="block"><h2>{{ t.show }}</h2>
<form method="get" action="{{ address }}/items">
<input type="hidden" name="f" value="html"><input type="hidden" name="lang" value="{{ lang }}">
{% for name, label, options in choices %}<label>{{ label }}<select name="{{ name }}">
{% for key, text, on in options %}<option value="{{ key }}"{% if on %} selected{% endif %}>{{ text }}</option>{% endfor %}
</select></label>{% endfor %}
<label>{{ t.limit }}<select name="limit">{% for n in (100, 500, 1000) %}<option>{{ n }}</option>{% endfor %}</select></label>
<button class="button" type="submit">{{ t.show }}</button>
</form></section>
<section class="block"><h2>{{ t.properties }}</h2><div class="scroll" tabindex="0" role="region" aria-label="{{ t.properties }}"><table>
<tr><th scope="col">{{ t.name }}</th><th scope="col">{{ t.type }}</th><th scope="col">{{ t.meaning }}</th></tr>
{% for one in one.fields.values() %}<tr><td><code>{{ one.name }}</code></td><td>{{ one.type }}</td><td>{{ one.zh if lang == 'zh' else one.en }}</td></tr>{% endfor %}
</table></div></section>
<section class="block">{{ m.value(facts) }}</section>
<section class="block">{{ m.links(found_links) }}</section>
{% endblock %}"""

ITEMS = """{% extends 'base' %}{% block body %}
<section class="block">
{% if drawing %}<svg class="map" viewBox="{{ drawing.box }}" role="img" aria-label="{{ title }}">{% for one in drawing.marks %}{% if one.d %}<path d="{{ one.d }}" fill="{{ one.fill }}"><title>{{ one.title }}</title></path>{% else %}<circle cx="{{ one.x }}" cy="{{ one.y }}" r="{{ drawing.radius }}" fill="{{ one.fill }}"><title>{{ one.title }}</title></circle>{% endif %}{% endfor %}</svg>{% endif %}
<p class="pager">{{ t.counted.format(returned=returned, matched=matched) }}{% if next %} <a class="button" rel="next" href="{{ next }}">{{ t.next }}</a>{% endif %}</p>
</section>
<section class="block"><div class="scroll" tabindex="0" role="region" aria-label="{{ t['items'] }}"><table>
<caption>{{ title }}</caption>
<tr><th scope="col">id</th>{% for one in columns %}<th scope="col">{{ one.zh if lang == 'zh' else one.en }}</th>{% endfor %}</tr>
{% for row in rows %}<tr><td><a href="{{ row.href }}">{{ row.id }}</a></td>{% for cell in row.cells %}<td{% if cell.number %} class="n"{% endif %}>{% if cell.fill %}<svg class="swatch" aria-hidden="true" viewBox="0 0 14 14"><rect width="14" height="14" rx="3" fill="{{ cell.fill }}"></rect></svg>{% endif %}{{ cell.text }}</td>{% endfor %}</tr>{% endfor %}
</table></div></section>
{% endblock %}"""

ITEM = """{% extends 'base' %}{% block body %}
<div class="two">
<section class="block">{% if drawing %}<svg class="map" viewBox="{{ drawing.box }}" role="img" aria-label="{{ title }}">{% for one in drawing.marks %}{% if one.d %}<path d="{{ one.d }}" fill="{{ one.fill }}"></path>{% else %}<circle cx="{{ one.x }}" cy="{{ one.y }}" r="{{ drawing.radius }}" fill="{{ one.fill }}"></circle>{% endif %}{% endfor %}</svg>{% endif %}</section>
<section class="block"><dl class="facts">{% for one, cell in pairs %}<dt>{{ one.zh if lang == 'zh' else one.en }}</dt><dd>{% if cell.fill %}<svg class="swatch" aria-hidden="true" viewBox="0 0 14 14"><rect width="14" height="14" rx="3" fill="{{ cell.fill }}"></rect></svg>{% endif %}{{ cell.text }}</dd>{% endfor %}</dl></section>
</div>
{% endblock %}"""

API = """{% extends 'base' %}{% block body %}
{% for path, methods in paths.items() %}<section class="block"><h2><code>GET {{ path }}</code></h2><p>{{ methods.get.summary }}</p>
{% if methods.get.parameters | length > 2 %}<div class="scroll" tabindex="0" role="region" aria-label="{{ path }}"><table class="wrap">
<tr><th scope="col">{{ t.name }}</th><th scope="col">{{ t.type }}</th><th scope="col">{{ t.meaning }}</th></tr>
{% for one in methods.get.parameters if one.name %}<tr><td><code>{{ one.name }}</code></td><td>{{ one.schema.type }}</td><td>{{ one.description or '' }}</td></tr>{% endfor %}
</table></div>{% endif %}</section>{% endfor %}
{% endblock %}"""
