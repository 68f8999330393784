"""report_check.py REPORT_DRIVER: the reports are well-formed XML, refer to nothing outside themselves, and are labelled for those
who do not see them. Standard library only."""
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

failures = []


def check(condition, what):
    if not condition:
        failures.append(what)


def text_of(element):
    return "".join(element.itertext())


def check_links(kind, element, ids):
    for name, value in element.attrib.items():
        check(not name.lower().startswith("on"), f"{kind}: <{element.tag} {name}> is a script")
        if name in ("src", "href", "action", "data", "srcset", "poster", "background"):
            inside = value.startswith("data:image/jpeg;base64,") or value == "data:,"
            check(inside or value.startswith("#") and value[1:] in ids, f"{kind}: <{element.tag} {name}='{value[:60]}'> leads outside")
        if name == "style":
            check(value.startswith("--share:") and "url" not in value, f"{kind}: style '{value[:60]}'")


def check_labels(kind, root):
    check(root.get("lang") == "en", f"{kind}: no language")
    check(text_of(root.find("head/title")).strip(), f"{kind}: no title")
    check(len(root.findall(".//h1")) == 1, f"{kind}: not one h1")
    for image in root.iter("img"):
        check(image.get("alt"), f"{kind}: picture without alt")
        check(image.get("width") and image.get("height"), f"{kind}: picture without a size")
        check(max(int(image.get("width")), int(image.get("height"))) <= 160, f"{kind}: picture of {image.get('width')}")
    for svg in root.iter("svg"):
        check(svg.get("role") == "img" and svg.get("aria-label"), f"{kind}: curve without a label")
    for header in root.iter("th"):
        check(header.get("scope") in ("row", "col", "colgroup"), f"{kind}: header '{text_of(header)[:30]}' without scope")
    for region in root.iter("div"):
        if region.get("class") == "scroll":
            check(region.get("tabindex") == "0" and region.get("aria-label"), f"{kind}: region without keyboard or label")


def parse(driver, kind, directory):
    path = os.path.join(directory, kind + ".html")
    subprocess.run([driver, kind, path], check=True)
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    check(text.startswith("<!DOCTYPE html>\n"), f"{kind}: no doctype")
    root = tree.fromstring(text)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    check(len(ids) == len(set(ids)), f"{kind}: an id twice: {ids}")
    for element in root.iter():
        check(element.tag not in ("script", "iframe", "object", "embed", "form", "base"), f"{kind}: <{element.tag}>")
        check_links(kind, element, ids)
    style = text_of(root.find("head/style"))
    check("url(" not in style and "@import" not in style, f"{kind}: the style sheet loads something")
    check(style.count("{") == style.count("}"), f"{kind}: braces of the style sheet")
    check_labels(kind, root)
    return text, root


def main():
    driver = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        reports = {kind: parse(driver, kind, directory) for kind in ("tutorial", "middle", "large", "labels", "numbers", "hostile", "failed", "empty")}
    _, tutorial = reports["tutorial"]
    check(len(list(tutorial.iter("svg"))) == 3, "tutorial: not three curves")
    check(len(list(tutorial.iter("img"))) > 4, "tutorial: no pictures")
    text, large = reports["large"]
    check(len(text.encode()) < 700_000, f"large: {len(text.encode())} bytes")
    check(len(large.findall(".//ol/li")) == 24, "large: not 24 mistakes")
    _, labels = reports["labels"]
    check(len(labels.findall(".//section[@id='classes']//tbody/tr")) == 100, "labels: not 100 rows")
    check(len(labels.findall(".//ol/li")) == 8, "labels: not 8 mistakes")
    _, numbers = reports["numbers"]
    check(len(numbers.findall(".//section[@id='classes']//tbody/tr")) == 10, "numbers: not 10 ranges")
    check(len(list(numbers.iter("svg"))) == 3, "numbers: not two curves and a scatter")
    check("ccuracy" not in text_of(numbers.find("body/main")), "numbers: an accuracy")
    # What is no markup comes back as it was given.
    _, hostile = reports["hostile"]
    script = "<script>document.title='owned'</script>"
    check(script in text_of(hostile.find(".//h1")), "hostile: the name is not shown")
    check("\u732b & \U0001F41D \ufffd\ufffd \u241b[31m" in text_of(hostile.find(".//h1")), "hostile: " + text_of(hostile.find(".//h1")))
    check(text_of(hostile.find(".//pre")) == "line 1 " + script + "\nline 2 </pre> &amp;", "hostile: the error is not shown")
    titles = [cell.get("title") for cell in hostile.iter("td") if cell.get("title")]
    check(any(t.startswith("\"'><img src=http://report.invalid/x onerror=alert(1)> taken for") for t in titles), f"hostile: {titles}")
    for failure in failures:
        print("FAILED:", failure)
    return 1 if failures else 0


sys.exit(main())
