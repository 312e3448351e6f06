"""The page's template, for jinja2: all text is escaped but for the pictures, which are ours."""

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="whisperbench {{ version }}">
<title>{{ page.title }}</title>
<style>{{ style }}</style>
</head>
<body>
{%- macro cells(row, headings) %}
{%- for text in row %}
{%- if loop.first %}<th scope="row">{{ text }}</th>
{%- else %}<td{% if text | length > 30 %} class="long"{% endif %}>{{ text }}</td>
{%- endif %}
{%- endfor %}
{%- endmacro %}
{%- macro table(told, captioned=true) %}
<div class="scroll" role="region" tabindex="0" aria-label="{{ told.caption }}: figures">
<table>
{%- if captioned %}
<caption>{{ told.caption }}</caption>
{%- endif %}
<thead><tr>
{%- for heading in told.table.headings %}<th scope="col">{{ heading }}</th>{% endfor -%}
</tr></thead>
<tbody>
{%- for row in told.rows %}
<tr>{{ cells(row, told.table.headings) }}</tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- if told.left_out %}
<p class="note">{{ told.left_out }} more rows are left out here for want of room: \
whisperbench show and whisperbench compare have all of them.</p>
{%- endif %}
{%- endmacro %}
{%- macro perhaps_folded(told, captioned=true) %}
{%- if told.folded %}
<details><summary>{{ told.caption if captioned else "The figures" }}</summary>
{{- table(told, false) }}
</details>
{%- else %}
{{- table(told, captioned) }}
{%- endif %}
{%- endmacro %}
<header>
<h1>{{ page.title }}</h1>
<p class="subtitle">{{ page.subtitle }}</p>
<p class="verdict {{ page.status }}"><strong>{{ page.headline }}</strong></p>
</header>
<nav aria-label="Sections">
<ul>
{%- for section in sections %}
<li><a href="#{{ section.id }}">{{ section.title }}</a></li>
{%- endfor %}
</ul>
</nav>
<main>
{%- for section in sections %}
<section aria-labelledby="{{ section.id }}">
<h2 id="{{ section.id }}">{{ section.title }}</h2>
{%- for text in section.paragraphs %}
<p>{{ text }}</p>
{%- endfor %}
{%- if section.lines %}
<ul class="lines">
{%- for line in section.lines %}
<li>{{ line }}</li>
{%- endfor %}
</ul>
{%- endif %}
{%- if section.pictures %}
<div class="pictures{% if section.pictures | length == 1 %} one{% endif %}">
{%- for each in section.pictures %}
<figure>
<figcaption>{{ each.picture.chart.title }}</figcaption>
{{ each.picture.inline | safe }}
{%- if each.picture.chart.notes %}
<p class="note">{{ each.picture.chart.notes | join(" ") }}</p>
{%- endif %}
{%- if each.with_table %}
{{- perhaps_folded(each.figures, false) }}
{%- endif %}
</figure>
{%- endfor %}
</div>
{%- endif %}
{%- for told in section.tables %}
{{- perhaps_folded(told) }}
{%- endfor %}
</section>
{%- endfor %}
</main>
<footer>
<p>Written by whisperbench {{ version }}. This page holds no script and loads nothing.</p>
</footer>
</body>
</html>
"""
