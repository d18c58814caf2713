/**
 * The house rules that `deno lint` can check, as a lint plugin (see `lint.plugins` in deno.json):
 *
 * - `house/arrows-down`: a folder imports only from folders below it;
 * - `house/portable-imports`: what is published imports nothing that JSR refuses;
 * - `house/jupyter-door`: only src/notebook touches `Deno.jupyter`;
 * - `house/snake-case`: file names are snake_case.
 *
 * @module
 */

/** The folders from the bottom to the top; imports may only point downwards. */
export const LAYERS = [
  "kernels",
  "src/gpu",
  "src/tensor",
  "src/nn",
  "src/moe",
  "src/models",
  "src/data",
  "src/train",
  "src/study",
  "src/plot",
  "src/notebook",
  "mod.ts",
  "src/cli",
] as const;

/** Folders of use without a GPU, and what they may not run for that; its types they may use. */
const WITHOUT: Record<string, string[]> = {
  "src/data": ["kernels", "src/gpu", "src/nn", "src/moe", "src/models"],
  "src/plot": [
    "kernels",
    "src/gpu",
    "src/tensor",
    "src/nn",
    "src/moe",
    "src/models",
    "src/train",
  ],
};

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);

/** A file's path from the root of the project, with forward slashes. */
function projectPath(filename: string): string {
  // "/C:/lab/" is the root's pathname on Windows, "C:\lab\mod.ts" the file's name.
  const path = "/" + filename.replaceAll("\\", "/").replace(/^\//, "");
  return path.startsWith(ROOT) ? path.slice(ROOT.length) : path.slice(1);
}

/** The layer a project path lies in, or undefined outside the layers (tests, notebooks). */
export function layerOf(path: string): string | undefined {
  return LAYERS.find((layer) => path === layer || path.startsWith(`${layer}/`));
}

/** What an import points at, as a project path; undefined for packages and built-ins. */
function importedPath(from: string, specifier: string): string | undefined {
  if (/^@moiie\/lab(\/|$)/.test(specifier)) {
    const entry = specifier.slice("@moiie/lab".length);
    return entry === "" ? "mod.ts" : `src${entry}/mod.ts`;
  }
  if (!/^\.{0,2}\//.test(specifier)) return undefined;
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

/** Why the import is not allowed, or undefined when it is. */
function wrongArrow(from: string, specifier: string, typeOnly: boolean): string | undefined {
  const layer = layerOf(from);
  const path = importedPath(from, specifier);
  if (layer === undefined || path === undefined || path === "deno.json") return undefined;
  const target = layerOf(path);
  if (target === undefined) {
    return `${layer} imports ${path}, which lies outside of the published folders`;
  }
  if (
    LAYERS.indexOf(target as typeof LAYERS[number]) > LAYERS.indexOf(layer as typeof LAYERS[number])
  ) {
    return `${layer} imports ${path}, but ${target} lies above it`;
  }
  if (!typeOnly && WITHOUT[layer]?.includes(target)) {
    return `${layer} works without a GPU, but imports ${path}`;
  }
  return undefined;
}

type Visit = (node: Deno.lint.Node, specifier: string, typeOnly: boolean, type?: string) => void;

/** Calls `visit` for everything in a file that imports another module under a fixed name. */
function eachImport(visit: Visit): Deno.lint.LintVisitor {
  const attributeType = (attributes: Deno.lint.ImportAttribute[]): string | undefined => {
    const found = attributes.find(({ key }) =>
      (key.type === "Literal" ? key.value : key.name) === "type"
    );
    return found === undefined ? undefined : String(found.value.value);
  };
  return {
    ImportDeclaration(node) {
      const typeOnly = node.importKind === "type";
      visit(node, node.source.value, typeOnly, attributeType(node.attributes));
    },
    ExportNamedDeclaration(node) {
      if (node.source === null) return;
      visit(node, node.source.value, node.exportKind === "type", attributeType(node.attributes));
    },
    ExportAllDeclaration(node) {
      visit(node, node.source.value, node.exportKind === "type", attributeType(node.attributes));
    },
    ImportExpression(node) {
      if (node.source.type === "Literal" && typeof node.source.value === "string") {
        visit(node, node.source.value, false);
      }
    },
    TSImportType(node) {
      const { argument } = node;
      if (argument.type === "TSLiteralType" && argument.literal.type === "Literal") {
        visit(node, String(argument.literal.value), true);
      }
    },
  };
}

/** Imports may only point at the same folder or at folders lower in {@linkcode LAYERS}. */
const arrowsDown: Deno.lint.Rule = {
  create(context) {
    const from = projectPath(context.filename);
    return eachImport((node, specifier, typeOnly) => {
      const message = wrongArrow(from, specifier, typeOnly);
      if (message === undefined) return;
      context.report({
        node,
        message,
        hint:
          "Move the shared part down, or pass it in from above. The order stands in CONTRIBUTING.md.",
      });
    });
  },
};

/** Published code uses npm packages by the bare names of deno.json, and no text or byte imports. */
const portableImports: Deno.lint.Rule = {
  create(context) {
    if (layerOf(projectPath(context.filename)) === undefined) return {};
    return eachImport((node, specifier, _typeOnly, type) => {
      if (/^(jsr:|https?:|npm:|@std\/)/.test(specifier)) {
        context.report({
          node,
          message: `published code imports ${specifier}`,
          hint: "Name npm packages in deno.json's imports; use nothing from JSR or bare URLs here.",
        });
      }
      if (type !== undefined && type !== "json") {
        context.report({
          node,
          message: `import of type "${type}"`,
          hint: "JSR takes JSON imports only; keep text in a .ts file as a string.",
        });
      }
    });
  },
};

/** Reading `Deno.jupyter` outside of a kernel throws, so one folder guards it for all. */
const jupyterDoor: Deno.lint.Rule = {
  create(context) {
    const layer = layerOf(projectPath(context.filename));
    if (layer === undefined || layer === "src/notebook") return {};
    const report = (node: Deno.lint.Node): void =>
      context.report({
        node,
        message: "only src/notebook may touch Deno.jupyter",
        hint: "Return the value, and let src/notebook show it.",
      });
    return {
      MemberExpression(node) {
        const { object, property } = node;
        const onDeno = (object.type === "Identifier" && object.name === "Deno") ||
          (object.type === "MemberExpression" && object.property.type === "Identifier" &&
            object.property.name === "Deno");
        const name = property.type === "Identifier" && !node.computed
          ? property.name
          : property.type === "Literal"
          ? property.value
          : undefined;
        if (onDeno && name === "jupyter") report(node);
      },
      BinaryExpression(node) {
        const { left, right } = node;
        if (
          node.operator === "in" && left.type === "Literal" && left.value === "jupyter" &&
          right.type === "Identifier" && right.name === "Deno"
        ) report(node);
      },
    };
  },
};

/** `patch_embedding.ts`, `matmul.wgsl.ts`, `safetensors_test.ts`. */
const snakeCase: Deno.lint.Rule = {
  create(context) {
    const name = projectPath(context.filename).split("/").at(-1)!;
    if (/^[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z0-9]+)*\.(ts|tsx|js|mjs)$/.test(name)) return {};
    return {
      Program(node) {
        context.report({ node, message: `the file name ${name} is not in snake_case` });
      },
    };
  },
};

const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    "arrows-down": arrowsDown,
    "portable-imports": portableImports,
    "jupyter-door": jupyterDoor,
    "snake-case": snakeCase,
  },
};
export default plugin;
