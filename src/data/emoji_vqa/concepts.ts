/**
 * What can lie in a picture: everyday things, their kinds, and the emoji that show them.
 *
 * @module
 */

/** A thing that pictures show. */
export interface Concept {
  /** Its English name, in small letters. */
  name: string;
  /** The word for its kind, the answer to "what kind is a dog ?". */
  kind: string;
  /** The emoji that show it, each one drawn in all five styles. */
  emoji: readonly string[];
}

/** Every emoji here is drawn by all five icon sets; look-alikes and faces are left out. */
const BY_KIND: Record<string, string> = {
  mammal: "monkey 🐵 🐒, gorilla 🦍, dog 🐶 🐕, poodle 🐩, wolf 🐺, fox 🦊, cat 🐱 🐈, lion 🦁, " +
    "tiger 🐯 🐅, leopard 🐆, horse 🐴 🐎, unicorn 🦄, deer 🦌, cow 🐮 🐄, buffalo 🐃, pig 🐷 🐖, " +
    "boar 🐗, ram 🐏, ewe 🐑, goat 🐐, camel 🐪, elephant 🐘, rhinoceros 🦏, mouse 🐭 🐁, rat 🐀, " +
    "hamster 🐹, rabbit 🐰 🐇, chipmunk 🐿, bat 🦇, bear 🐻, koala 🐨, panda 🐼",
  bird: "turkey 🦃, chicken 🐔, rooster 🐓, chick 🐤 🐥, bird 🐦, penguin 🐧, dove 🕊, eagle 🦅, " +
    "duck 🦆, owl 🦉",
  reptile: "crocodile 🐊, turtle 🐢, lizard 🦎, snake 🐍, dragon 🐲",
  sealife: "whale 🐳 🐋, dolphin 🐬, fish 🐟, tropical fish 🐠, blowfish 🐡, shark 🦈, " +
    "octopus 🐙, crab 🦀, shrimp 🦐 🍤, squid 🦑",
  bug: "snail 🐌, butterfly 🦋, caterpillar 🐛, ant 🐜, bee 🐝, ladybug 🐞, cricket 🦗, " +
    "spider 🕷, scorpion 🦂",
  flower: "cherry blossom 🌸, rose 🌹, hibiscus 🌺, sunflower 🌻, blossom 🌼, tulip 🌷",
  plant: "seedling 🌱, evergreen tree 🌲, deciduous tree 🌳, palm tree 🌴, cactus 🌵, herb 🌿, " +
    "clover 🍀, maple leaf 🍁, mushroom 🍄",
  fruit: "grapes 🍇, watermelon 🍉, tangerine 🍊, lemon 🍋, banana 🍌, pineapple 🍍, apple 🍎, " +
    "pear 🍐, peach 🍑, cherries 🍒, strawberry 🍓, kiwi 🥝, tomato 🍅",
  vegetable: "avocado 🥑, eggplant 🍆, potato 🥔, carrot 🥕, corn 🌽, pepper 🌶, cucumber 🥒",
  dish: "bread 🍞, croissant 🥐, baguette 🥖, pancakes 🥞, cheese 🧀, meat 🍖, drumstick 🍗, " +
    "bacon 🥓, hamburger 🍔, fries 🍟, pizza 🍕, hot dog 🌭, taco 🌮, burrito 🌯, salad 🥗, " +
    "popcorn 🍿, rice ball 🍙, spaghetti 🍝, sushi 🍣",
  sweet: "ice cream 🍨, doughnut 🍩, cookie 🍪, cake 🎂, shortcake 🍰, chocolate 🍫, candy 🍬, " +
    "lollipop 🍭, honey 🍯",
  drink: "milk 🥛, coffee ☕, sake 🍶, champagne 🍾, wine 🍷, cocktail 🍸, beer 🍺",
  building: "stadium 🏟, house 🏠, hospital 🏥, school 🏫, factory 🏭, castle 🏰, statue 🗽",
  vehicle: "locomotive 🚂, train 🚆, tram 🚊, monorail 🚝, bus 🚌 🚍, ambulance 🚑, " +
    "fire truck 🚒, police car 🚓 🚔, taxi 🚕 🚖, car 🚗 🚘, delivery truck 🚚, tractor 🚜, " +
    "racing car 🏎, motorcycle 🏍, motor scooter 🛵, bicycle 🚲, kick scooter 🛴",
  boat: "sailboat ⛵, canoe 🛶, speedboat 🚤, ship 🛳",
  aircraft: "airplane ✈, helicopter 🚁, satellite 🛰, rocket 🚀",
  sky: "moon 🌙, sun ☀ 🌞, star ⭐, cloud ☁, rain 🌧, snow 🌨, thunder 🌩, tornado 🌪, " +
    "rainbow 🌈, umbrella ☂, lightning ⚡, snowflake ❄, snowman ☃, comet ☄, fire 🔥, droplet 💧",
  sport: "soccer ⚽, basketball 🏀, volleyball 🏐, football 🏈, rugby 🏉, tennis 🎾, " +
    "bowling 🎳, field hockey 🏑, ice hockey 🏒, ping pong 🏓, badminton 🏸, boxing glove 🥊, " +
    "ice skate ⛸, fishing pole 🎣, skis 🎿",
  clothing: "eyeglasses 👓, sunglasses 🕶, necktie 👔, t-shirt 👕, jeans 👖, dress 👗, " +
    "kimono 👘, bikini 👙, handbag 👜, backpack 🎒, shoe 👞, running shoe 👟, heel 👠, boot 👢, " +
    "crown 👑, hat 👒, top hat 🎩, graduation cap 🎓, lipstick 💄, ring 💍, gem 💎",
  instrument: "saxophone 🎷, trumpet 🎺, guitar 🎸, violin 🎻, drum 🥁",
  device: "phone 📱, telephone ☎, battery 🔋, electric plug 🔌, laptop 💻, computer 🖥, " +
    "printer 🖨, computer mouse 🖱, floppy disk 💾, dvd 📀, movie camera 🎥, clapper board 🎬, " +
    "television 📺, camera 📷, video camera 📹, magnifier 🔍, candle 🕯, light bulb 💡, " +
    "flashlight 🔦, lantern 🏮",
  stationery: "pencil ✏, fountain pen 🖋, paintbrush 🖌, crayon 🖍, briefcase 💼, " +
    "file folder 📁, bar chart 📊, pushpin 📌, paperclip 📎, ruler 📏, scissors ✂, " +
    "wastebasket 🗑",
  tool: "hammer 🔨, dagger 🗡, swords ⚔, bomb 💣, bow 🏹, shield 🛡, wrench 🔧, bolt 🔩, " +
    "gear ⚙, balance scale ⚖",
  furniture: "door 🚪, bed 🛏, toilet 🚽, bathtub 🛁, shopping cart 🛒",
};

/** All 272 concepts of 24 kinds. */
export const CONCEPTS: readonly Concept[] = Object.entries(BY_KIND).flatMap(([kind, list]) =>
  list.split(", ").map((entry) => {
    const words = entry.split(" ");
    const firstEmoji = words.findIndex((word) => !/^[a-z-]+$/.test(word));
    return {
      name: words.slice(0, firstEmoji).join(" "),
      kind,
      emoji: words.slice(firstEmoji),
    };
  })
);
