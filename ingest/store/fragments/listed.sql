-- The list that $1 is of the message $2, with SEPARATOR of plain.py between its items; a message without plain attributes has no keys.
if(${$2.text_keys} = '', [], splitByChar('\x1F', ${$1}))
