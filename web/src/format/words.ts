/** Words of the service, as they stand in a page. */

/**
 * A reason of the service as a sentence of its own: with a capital, and a full stop. What begins with a name or a
 * statement keeps its first letter, and what ends like one gets no stop.
 */
export function sentence(text: string): string {
  const said = text
    .trim()
    .replace(/^[a-z]+(?=[ ,:'])/, (word) => word.charAt(0).toUpperCase() + word.slice(1));
  const isWhole = /[.!?:;]$/.test(said) || isStatement(said) || said === '';
  return isWhole ? said : `${said}.`;
}

/** Whether a text begins like SQL, which is copied as it is. */
export const isStatement = (text: string): boolean => /^[A-Z]{3,} /.test(text);
