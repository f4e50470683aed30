/**
 * Opens pages one by one in a frame, at each width, and has axe look at them.
 *
 * Says "test successful", or all findings as one error. Run by `tests/test_portal_axe.py`, after it has set
 * `window.axePages`: `{axe, pages: [[path, selector of what is opened]], widths, impacts, without: [selectors]}`.
 */
const SETTLED_AFTER = 300;
const PATIENCE = 20000;

const pause = (time) => new Promise((done) => setTimeout(done, time));

async function open(path) {
    document.querySelector("#axe_frame")?.remove();
    const frame = document.createElement("iframe");
    frame.id = "axe_frame";
    frame.style.cssText = "position: fixed; inset: 0 auto auto 0; height: 800px; border: 0; z-index: 9999";
    frame.style.width = `${Math.max(...window.axePages.widths)}px`;
    const loaded = new Promise((done) => frame.addEventListener("load", done, {once: true}));
    frame.src = path;
    document.body.append(frame);
    await Promise.race([loaded, pause(PATIENCE)]);
    // On a telephone the bar for scrolling takes no room.
    frame.contentDocument.documentElement.style.scrollbarWidth = "none";
    await pause(SETTLED_AFTER);
    return frame;
}

function widerThanTheWindow(frame, width) {
    const root = frame.contentDocument.documentElement;
    if (root.scrollWidth <= width) {
        return [];
    }
    const wide = [...frame.contentDocument.querySelectorAll("body *")].filter(
        (element) => element.getBoundingClientRect().right > width + 1
    );
    const names = wide.slice(-3).map((element) => element.outerHTML.slice(0, 120));
    return [`wider than the window (${root.scrollWidth} px): ${names.join(" … ")}`];
}

async function look(frame, source) {
    const {impacts, without} = window.axePages;
    const page = frame.contentDocument;
    if (!frame.contentWindow.axe) {
        const script = page.createElement("script");
        script.textContent = source;
        page.head.append(script);
    }
    const {violations} = await frame.contentWindow.axe.run(
        {include: [["html"]], exclude: without.map((selector) => [selector])},
        {resultTypes: ["violations"]}
    );
    return violations
        .filter((rule) => impacts.includes(rule.impact))
        .flatMap((rule) =>
            rule.nodes.map((node) => {
                const why = [...node.any, ...node.all, ...node.none].map((check) => check.message);
                return `${rule.impact} ${rule.id}: ${node.target.join(" ")}\n      ${node.html}\n      ${why.join("; ")}`;
            })
        );
}

async function walk() {
    const found = [];
    const source = await (await fetch(window.axePages.axe)).text();
    for (const [path, opened] of window.axePages.pages) {
        const frame = await open(path);
        const page = frame.contentDocument;
        if (!page?.querySelector("main")) {
            found.push(`${path}: is no page`);
            continue;
        }
        if (opened) {
            const elements = [...page.querySelectorAll(opened)];
            if (!elements.length) {
                found.push(`${path}: has no ${opened}`);
            }
            for (const element of elements) {
                if (element.localName === "details") {
                    element.open = true;
                } else {
                    element.click();
                }
            }
        }
        for (const width of window.axePages.widths) {
            frame.style.width = `${width}px`;
            await pause(SETTLED_AFTER);
            for (const finding of [...(await look(frame, source)), ...widerThanTheWindow(frame, width)]) {
                found.push(`${path} at ${width} px: ${finding}`);
            }
        }
    }
    if (found.length) {
        console.error(`${found.length} findings\n${found.join("\n")}`);
    } else {
        console.log("test successful");
    }
}

walk();
