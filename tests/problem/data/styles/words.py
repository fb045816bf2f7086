"""Words of the messy tables: names of columns, categories and sentences in five languages.

A language goes with the encodings that can write it. Names are sorted by what a reader may conclude from
them: those of codes, row numbers and time stamps tell the meaning of bare integers, the others tell nothing.
"""

# ruff: noqa: RUF001 (Cyrillic letters are meant)

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """One language: names of columns by meaning, families of categories, and words for sentences."""

    number: tuple[str, ...]
    category: tuple[str, ...]
    date: tuple[str, ...]
    text: tuple[str, ...]
    target: tuple[str, ...]
    families: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    titles: tuple[str, ...]
    total: tuple[str, ...]
    months: tuple[str, ...] = ()
    long_date: str = ""


def _split(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split("|"))


ENGLISH = Language(
    number=_split(
        "weight|height|price|temperature|Income|speed|x1|x2|Value|area|length|width|Pressure|revenue|depth|cost"
        "|Net sales|Unit Price|distance (m)|avg. load|BMI|fare|balance|rate"
    ),
    category=_split("color|city|Region|kind of day|group|Status|brand|size|segment|Channel|species|level"),
    date=_split("date|Date|day|when|Order Date|created|start|birthday|sold_on"),
    text=_split("review|comment|Description|notes|message|title of post|feedback"),
    target=_split("target|label|y|outcome|Result|response"),
    families=(
        _split("red|green|blue|yellow|black|white|orange"),
        _split("London|Paris|New York|Berlin|Rome|Madrid|San Francisco|Oslo|Cairo|Lima"),
        _split("yes|no"),
        _split("Y|N"),
        _split("True|False"),
        _split("male|female"),
        _split("Mon|Tue|Wed|Thu|Fri|Sat|Sun"),
        _split("Monday|Tuesday|Wednesday|Thursday|Friday"),
        _split("May|June|April|August"),
        _split("Jan|Feb|Mar|Apr|May|Jun"),
        _split("S|M|L|XL|XXL"),
        _split("18-24|25-34|35-44|45-54|55-64|65+"),
        _split("A1|A2|B1|B2|C1"),
        _split("I|II|III|IV"),
        _split("1.10.2|1.9.0|2.0.1|2.1.0"),
        _split("low|medium|high|very high"),
        _split("<30|>30"),
        _split("iPhone 12|Galaxy S9|Pixel 6|3310"),
        _split("a|b|c|d"),
        _split("control|treated"),
        _split("setosa|versicolor|virginica"),
        _split("1st|2nd|3rd"),
        _split("AT&T|O'Brien's|R&D / lab|50/50"),
    ),
    words=_split(
        "the|of|and|was|with|very|good|bad|service|food|room|clean|late|again|never|small|quick|friendly|staff|price|after"
        "|before|waiting|two|hours|arrived|broken|works|well|would|buy|another|battery|screen|cheap|strong|weak|quite|nice"
    ),
    titles=_split(
        "Sales report 2020|Quarterly figures|Exported from LabSoft 3.2|Measurements of station 12|Table 4"
    ),
    total=_split("Total|TOTAL|Sum|Grand total"),
)
GERMAN = Language(
    number=_split(
        "Größe|Preis|Gewicht|Temperatur|Länge|Höhe|Umsatz|Fläche|Menge|Höhe über NN|Wert (in €)|Kosten"
    ),
    category=_split("Farbe|Stadt|Straße|Gruppe|Qualität|Land"),
    date=_split("Datum|Geburtstag|Verkauft am|Tag"),
    text=_split("Bemerkung|Beschreibung|Prüfvermerk"),
    target=_split("Klasse|Ergebnis|Zielgröße"),
    families=(
        _split("grün|rot|weiß|blau|gelb"),
        _split("München|Köln|Nürnberg|Zürich|Hamburg|Saarbrücken"),
        _split("ja|nein"),
        _split("männlich|weiblich"),
        _split("gut|mäßig|schlecht"),
        _split("Österreich|Dänemark|Frankreich|Türkei"),
        _split("Mo|Di|Mi|Do|Fr"),
    ),
    words=_split(
        "der|die|und|nicht|sehr|schön|Gerät|läuft|für|später|kaputt|gestern|über|große|Lieferung|möchte|wieder|günstig|war"
        "|leider|zurück|ohne|Prüfung|Maße|stimmen|öfter|während|kalt"
    ),
    titles=_split("Umsätze nach Regionen|Auszug vom Prüfstand 7|Übersicht der Messwerte"),
    total=_split("Summe|Gesamt|Insgesamt"),
    months=_split("Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"),
    long_date="{day}. {month} {year}",
)
FRENCH = Language(
    number=_split("prix|âge|température|Quantité|durée|surface habitable"),
    category=_split("ville|Catégorie|région|sexe"),
    date=_split("date|Date de création|jour"),
    text=_split("commentaire|Résumé|avis"),
    target=_split("résultat|classe"),
    families=(
        _split("élevé|moyen|très bas"),
        _split("Besançon|Nîmes|Orléans|Paris|Béziers"),
        _split("oui|non"),
        _split("François|Hélène|Zoé|Noël|Anaïs"),
    ),
    words=_split(
        "le|la|très|bon|mauvais|été|déjà|garçon|façon|où|après|chambre|propre|cassé|jamais|près|séjour|agréable|cher|reçu"
        "|même|goût|forêt|service|trop|élevé|encore"
    ),
    titles=_split("Données par région|Relevé des températures"),
    total=_split("Total|Total général"),
    months=_split("janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"),
    long_date="{day} {month} {year}",
)
RUSSIAN = Language(
    number=_split("цена|вес|рост|температура|Доход|площадь"),
    category=_split("город|цвет|группа|пол"),
    date=_split("дата|Дата покупки|день"),
    text=_split("отзыв|Описание|комментарий"),
    target=_split("класс|результат"),
    families=(
        _split("Москва|Казань|Омск|Пермь|Нижний Новгород"),
        _split("красный|синий|зелёный"),
        _split("да|нет"),
        _split("мужской|женский"),
    ),
    words=_split(
        "и|не|очень|хорошо|плохо|комната|чисто|быстро|поздно|снова|никогда|товар|пришёл|сломан|работает|дёшево|было|после"
        "|долго|ждали|весь|день|куплю|ещё|слабый|экран"
    ),
    titles=_split("Отчёт о продажах|Измерения станции"),
    total=_split("Итого|Всего"),
)
JAPANESE = Language(
    number=_split("価格|重さ|気温|身長|売上"),
    category=_split("都市|色|種類"),
    date=_split("日付|購入日"),
    text=_split("感想|説明"),
    target=_split("結果|分類"),
    families=(
        _split("東京|大阪|京都|名古屋|札幌"),
        _split("赤|青|黄色|白"),
        _split("はい|いいえ"),
        _split("トヨタ|ホンダ|スズキ"),
    ),
    words=_split(
        "とても|良い|悪い|部屋|きれい|遅い|もう一度|商品|届いた|壊れた|安い|高い|駅から|近い|料理|おいしい|また|買う|画面|電池"
    ),
    titles=_split("売上報告|観測データ"),
    total=_split("合計|総計"),
    months=_split("1月|2月|3月|4月|5月|6月|7月|8月|9月|10月|11月|12月"),
    long_date="{year}年{month}{day}日",
)
LANGUAGES = {
    "english": ENGLISH,
    "german": GERMAN,
    "french": FRENCH,
    "russian": RUSSIAN,
    "japanese": JAPANESE,
}

# Names that tell the meaning of bare integers.
CODE_NAMES = _split("zip|ZIP code|PLZ|postcode|store_no|dept_code|product code|fips|station_id|code")
INDEX_NAMES = _split("id|ID|Id|row|index|Nr|No.|rownum|Unnamed: 0|row_id")
KEY_NAMES = _split("customer_id|user_id|order_id|CustomerID|record_id|transaction_id")
EPOCH_NAMES = _split("timestamp|epoch|unix_time|Timestamp|time_stamp")
COMPACT_NAMES = _split("date|Date|day|datum|YYYYMMDD|order_date")
