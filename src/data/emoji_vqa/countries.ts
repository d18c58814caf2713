/**
 * Countries and what is asked about them.
 *
 * @module
 */

/** A country with a flag. */
export interface Country {
  /** ISO 3166-1 alpha-2 code in small letters. */
  code: string;
  /** English name, in small letters. */
  name: string;
  /** Its capital. */
  capital: string;
  /** Its continent ("america" for both where a scale merges them). */
  region: string;
  /** ISO 4217 code of its money, in small letters. */
  currency: string;
}

/**
 * Members of the United Nations. Monaco and Chad are left out: at 28 pixels their flags are those
 * of Indonesia and Romania.
 */
export const COUNTRY_CODES: readonly string[] = (
  "af al dz ad ao ag ar am au at az bs bh bd bb by be bz bj bt bo ba bw br bn bg bf bi cv kh cm " +
  "ca cf cl cn co km cg cd cr ci hr cu cy cz dk dj dm do ec eg sv gq er ee sz et fj fi fr ga gm " +
  "ge de gh gr gd gt gn gw gy ht hn hu is in id ir iq ie il it jm jp jo kz ke ki kp kr kw kg la " +
  "lv lb ls lr ly li lt lu mg mw my mv ml mt mh mr mu mx fm md mn me ma mz mm na nr np nl nz ni " +
  "ne ng mk no om pk pw pa pg py pe ph pl pt qa ro ru rw kn lc vc ws sm st sa sn rs sc sl sg sk " +
  "si sb so za ss es lk sd sr se ch sy tj tz th tl tg to tt tn tr tm tv ug ua ae gb us uy uz vu " +
  "ve vn ye zm zw"
).split(" ");

/** Small letters without accents, brackets or punctuation other than ' and -. */
function plain(name: string): string {
  return name.normalize("NFD").replace(/[\u0300-\u036f]/g, "").replace(/\[.*?\]|\(.*?\)/g, "")
    .replace(/[^A-Za-z' -]/g, "").trim().toLowerCase();
}

/**
 * Looks countries up in the `countries-list` package.
 *
 * @throws RangeError when a code is unknown there
 */
export async function loadCountries(codes: readonly string[]): Promise<Country[]> {
  const { continents, getCountryData } = await import("countries-list");
  return codes.map((code) => {
    const entry = getCountryData(code.toUpperCase() as Parameters<typeof getCountryData>[0]);
    if (!entry?.capital || entry.currency.length === 0) {
      throw new RangeError(`countries-list knows no country "${code}" with a capital and money`);
    }
    return {
      code,
      name: plain(entry.name),
      capital: plain(entry.capital),
      region: continents[entry.continent].toLowerCase(),
      currency: entry.currency[0].toLowerCase(),
    };
  });
}
